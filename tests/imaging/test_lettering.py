import shutil
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from spikeyolo.imaging import fonts
from spikeyolo.imaging.lettering import letter, shown_names

DEJAVU = str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")


@pytest.fixture
def bare(monkeypatch):
    """A machine without fonts but those of Pillow and matplotlib."""
    monkeypatch.setattr(fonts, "_font_folders", list)
    for cached in (fonts._font_files, shown_names):
        cached.cache_clear()
    yield
    for cached in (fonts._font_files, shown_names):
        cached.cache_clear()


def ink(image):
    """(H, W) opacity, cut to what is drawn."""
    alpha = np.asarray(image)[..., 3]
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(float)


def drawn_by_pillow(text, size, **how):
    image = Image.new("RGBA", (40 * size, 3 * size), (0, 0, 0, 0))
    font = ImageFont.truetype(DEJAVU, size)
    ImageDraw.Draw(image).text((size, size), text, font=font, fill=(0, 0, 0), **how)
    return ink(image)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("text", ["Café", "Ελλάδα", "Жук"])
def test_a_script_that_one_font_has_is_drawn_in_it(text):
    np.testing.assert_allclose(ink(letter([text], 24, (0, 0, 0)).image), drawn_by_pillow(text, 24), atol=80)


@pytest.mark.usefixtures("bare")
@pytest.mark.skipif(not features.check("raqm"), reason="Pillow finds no FriBiDi")
def test_arabic_is_joined_and_runs_from_right_to_left():
    joined = ink(letter(["خلية"], 32, (0, 0, 0)).image)
    np.testing.assert_allclose(joined, drawn_by_pillow("خلية", 32, direction="rtl"), atol=80)
    apart = drawn_by_pillow("خلية", 32, direction="rtl", features=["-init", "-medi", "-fina"])
    assert joined.shape[1] < 0.9 * apart.shape[1]


@pytest.mark.usefixtures("bare")
def test_what_stands_before_and_after_a_name_stays_there():
    name, number = (letter([part], 24, (0, 0, 0)).image.width for part in ("خلية", "8888888"))
    alpha = np.asarray(letter(["", "خلية", " 8888888"], 24, (0, 0, 0)).image)[..., 3]
    assert alpha.shape[1] == pytest.approx(name + number, abs=20)
    # Digits of one height fill the right end, from the baseline up; Arabic goes below it on the left.
    below = alpha[letter(["خلية", " 8888888"], 24, (0, 0, 0)).baseline + 2 :]
    assert below[:, :name].any()
    assert not below[:, name + 10 :].any()


@pytest.mark.usefixtures("bare")
def test_names_without_a_font_become_numbers_and_one_line_says_which_to_install():
    names = ("cell", "细胞", "🩸", "क")
    with pytest.warns(UserWarning, match="3 class names are drawn as numbers, such as 'class 1' for '细胞'") as said:
        assert shown_names(names) == ("cell", "class 1", "class 2", "class 3")
    assert str(said[0].message).endswith("apt install fonts-noto-cjk fonts-noto-color-emoji fonts-noto-core)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shown_names(names)[1] == "class 1"  # said once


@pytest.mark.usefixtures("bare")
def test_long_names_are_cut_and_control_characters_seen():
    assert shown_names(("n" * 300, "a\x1bb")) == ("n" * 37 + "...", "a\\x1bb")


@pytest.mark.usefixtures("bare")
def test_without_layout_arabic_is_not_drawn_wrongly(monkeypatch):
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.warns(UserWarning, match="libfribidi0"):
        assert shown_names(("cell", "خلية")) == ("cell", "class 1")


def test_fonts_of_the_user_are_found(tmp_path, monkeypatch):
    (tmp_path / "fonts/more").mkdir(parents=True)
    shutil.copy(DEJAVU, tmp_path / "fonts/more/Mine.ttf")
    (tmp_path / "fonts/broken.ttf").write_bytes(b"no font")
    shutil.copy(DEJAVU, tmp_path / "fonts/LastResort.ttf")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(fonts, "_matplotlibs", tuple)
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "none"))
    fonts._font_files.cache_clear()
    try:
        assert fonts.in_fonts("Ж") == [("Ж", str(tmp_path / "fonts/more/Mine.ttf"))]
        assert fonts.in_fonts("细") == [("细", None)]
    finally:
        fonts._font_files.cache_clear()


def test_empty_text_has_an_image():
    assert letter([""], 12, (0, 0, 0)).image.width >= 1
    assert letter([], 12, (0, 0, 0)).image.height >= 1


def test_a_font_that_fails_at_a_character_does_not_have_it(monkeypatch):
    """As Noto Sans Tamil Supplement does at U+E01F0."""

    class Failing:
        def getmask(self, text):
            raise ValueError("raqm_get_glyphs() failed.")

    monkeypatch.setattr(fonts, "_for_tests", lambda file: Failing())
    assert fonts._drawn.__wrapped__("any.ttf", "a") is None
