"""The hosts are made at first use, and go with the session."""

from cluster_rig import rig  # noqa: F401
