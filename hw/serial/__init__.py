"""A sequential engine for the smallest FPGAs, which runs the programs of the pipelined one."""
