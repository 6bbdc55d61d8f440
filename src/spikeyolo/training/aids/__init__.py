"""What a training can minimise beside its loss: the distance to a teacher, the energy."""
