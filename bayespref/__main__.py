"""``python -m bayespref`` is the command line."""

from bayespref.cli import main

if __name__ == "__main__":
    main()
