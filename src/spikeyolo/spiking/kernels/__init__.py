"""I-LIF as one kernel a pass, for GPUs; imported only where it runs, as it needs triton."""
