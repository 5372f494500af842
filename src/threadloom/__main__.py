"""`python -m threadloom` is the command line."""

from threadloom.cli import main

if __name__ == "__main__":
    main()
