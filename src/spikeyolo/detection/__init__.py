"""From logits to boxes and to the loss: pure functions on tensors that know no network."""
