"""`python -m keepbusy`, and the `keepbusy` program."""

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the program; Ctrl-C ends it quietly also while it is still being loaded."""
    try:
        from keepbusy.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
