"""`python -m hermesd.cli`: the command, where its script is not on the path."""

from hermesd.cli.main import main

if __name__ == "__main__":
    main()
