"""``argus`` and ``python -m argusvl``. Loading the command takes a moment, in which Ctrl-C may come already."""

from argusvl.cli.process import stop_at_once


def main() -> None:
    """Entry point of the command."""
    stop_at_once()
    from argusvl.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
