"""Lightning modules and data for training."""

from gcnface.system.own_packages import check_own_packages

check_own_packages()
