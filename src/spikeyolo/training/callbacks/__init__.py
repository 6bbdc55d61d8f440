"""What happens beside a training: averaged weights, checkpoints, progress, images."""
