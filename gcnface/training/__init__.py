"""Lightning modules and data for training."""

from gcnface.own_packages import check_own_packages

check_own_packages()
