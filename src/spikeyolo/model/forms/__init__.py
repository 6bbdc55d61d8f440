"""The forms of a network: as trained, folded, driven by spikes, on integers; and the proof of the spike-driven one."""
