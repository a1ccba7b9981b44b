"""The commands of `gcnface`, one module each.

A module offers ``SUMMARY``, ``DESCRIPTION``, ``EPILOG``, ``add_arguments(parser)`` and ``run(options)``, which gives
the exit status. Nothing heavy is imported before ``run``, so that help comes at once.
"""
