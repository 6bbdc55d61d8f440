"""Labelled recordings of event cameras: Prophesee's folders and RVT's."""
