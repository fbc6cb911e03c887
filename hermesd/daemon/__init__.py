"""The composition root: opens the resources, runs the role or roles, and ends them in order.

run(config, Role.BOTH)                      # blocks until SIGTERM, SIGINT or a recycle
run(config, Role.BOTH, extra=[my_handler])  # embedded: handlers given directly
"""

from hermesd.daemon import lean  # isort: skip  # before anything that imports structlog
from hermesd.daemon.life import run
from hermesd.daemon.role import Role

__all__ = ["Role", "lean", "run"]
