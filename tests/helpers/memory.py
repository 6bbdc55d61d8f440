"""Memory of this process."""

MOST_MB = 20


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def assert_memory_stays(inferencer, images, count, before=2):
    """Predict many images, after some rounds of all of them."""
    for image in images * before:
        inferencer.predict(image)
    first = resident_mb()
    for i in range(count):
        inferencer.predict(images[i % len(images)])
    assert resident_mb() - first < MOST_MB
