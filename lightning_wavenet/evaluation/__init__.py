"""How good generated clips are: each beside the recording of the same sentence, and by judges from outside."""
