import pytest

from spikeyolo.paths import as_system_path, is_unicode, readable, writable

LATIN_1 = "caf\udce9"


@pytest.mark.parametrize("name", ["plain.bin", "细胞.bin", f"{LATIN_1}.bin"])
def test_a_file_of_any_name_is_read_under_a_name_of_unicode(tmp_path, name):
    (tmp_path / name).write_bytes(b"content")
    with readable(tmp_path / name) as given:
        given.encode()
        with open(given, "rb") as file:
            assert file.read() == b"content"


@pytest.mark.parametrize("folder", ["plain", LATIN_1])
def test_a_file_in_a_folder_of_any_name_is_written(tmp_path, folder):
    (tmp_path / folder).mkdir()
    with writable(tmp_path / folder / "new") as given:
        given.encode()
        with open(given, "wb") as file:
            file.write(b"content")
    assert (tmp_path / folder / "new").read_bytes() == b"content"


def test_paths_that_stand_in_files():
    assert as_system_path("图片/a") == "图片/a"
    assert as_system_path("\ud83d\ude00") == "😀"
    with pytest.raises(ValueError, match="no path holds"):
        as_system_path("a\0b")
    with pytest.raises(ValueError, match="surrogates not allowed"):
        as_system_path("\ud83d")
    assert is_unicode("图片")
    assert not is_unicode(LATIN_1)
