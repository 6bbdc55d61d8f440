import pytest

from spikeyolo.evaluation.timer import StageTimer


def test_milliseconds_a_image_without_the_first_batch():
    ticks = iter([0.0, 9.0, 10.0, 10.2, 10.2, 10.6, 20.0, 20.2, 30.0, 30.1])
    timer = StageTimer(warmup=1, clock=lambda: next(ticks))
    with timer.stage("network"):
        pass
    timer.end_batch(4)
    assert timer.milliseconds() == pytest.approx({"network": 9000 / 4})
    with timer.stage("pre-process"):
        pass
    with timer.stage("network"):
        pass
    timer.end_batch(4)
    with timer.stage("network"):
        pass
    with timer.stage("network"):
        pass
    timer.end_batch(2)
    assert timer.milliseconds() == pytest.approx({"pre-process": 200 / 6, "network": 700 / 6})


def test_nothing_timed_yet():
    timer = StageTimer()
    assert timer.milliseconds() == {}
    assert timer.table().row_count == 1


def test_table_has_the_stages_and_their_sum():
    ticks = iter([0.0, 0.01, 0.01, 0.04])
    timer = StageTimer(clock=lambda: next(ticks))
    for name in ("pre-process", "network"):
        with timer.stage(name):
            pass
    timer.end_batch(2)
    table = timer.table()
    assert list(table.columns[0].cells) == ["pre-process", "network", "all"]
    assert list(table.columns[1].cells) == ["5.00", "15.00", "20.00"]
