"""Listening tests (section 3.2 and appendix B of the paper): MOS and paired preferences, from clips to tables."""
