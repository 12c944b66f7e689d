"""`python -m keepbusy`."""

from keepbusy.cli import main

if __name__ == "__main__":
    main()
