"""An independent reading of what `linetap mirror` must do, to check the real one against.

Written from the contract, not from the engine, in another language and with the standard library
only: slow and literal on purpose. `python3 -m oracle --help` in the directory above.
"""
