"""`python -m lightning_wavenet` is the command `wavenet`."""

from lightning_wavenet.cli.main import main

if __name__ == "__main__":
    main()
