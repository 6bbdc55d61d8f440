import os

import pytest

from spikeyolo.text import class_name, cut, cut_to_bytes, folder_names, visible, with_bytes_escaped


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("cell", "cell"),
        ("细胞 خلية 😀", "细胞 خلية 😀"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d", r"\ud83d"),
        ("\ude00\ud83d", r"\ude00\ud83d"),
        ("caf\udce9", r"caf\xe9"),  # as Python stands for the byte E9
        ("a\x1b[31m\x00\n\x7f\x9b", r"a\x1b[31m\x00\n\x7f\x9b"),
        ("a\u202eb\u2066c\u2028", r"a\u202eb\u2066c\u2028"),
        ("👨\u200d👧", "👨\u200d👧"),  # joined emoji are one
        ("क\u094d\u200dष", "क\u094d\u200dष"),
    ],
)
def test_all_that_is_seen_is_text(text, seen):
    assert visible(text) == seen
    assert visible(seen) == seen


def test_class_names_are_cut_and_stay_what_they_are():
    assert class_name("n" * 300) == "n" * 97 + "..."
    assert class_name(class_name("a\n" * 300)) == class_name("a\n" * 300)
    assert len(class_name("细" * 101)) == 100
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abc..."


def test_folders_of_classes_are_safe_and_apart():
    names = ["cell", "a/b", "a:b", "A_B", "..", "", "con", "COM1.x", "x" * 300, "../up", "细胞", "dot.", "\x1b"]
    folders = folder_names(names)
    assert folders[:4] == ["cell", "a_b", "a_b_2", "A_B_3"]
    assert folders[4:9] == ["_", "__2", "_con", "_COM1.x", "x" * 100]
    assert folders[9:] == ["_up", "细胞", "dot", "_x1b"]
    assert len({folder.casefold() for folder in folders}) == len(names)


def test_a_part_of_a_file_name_has_no_more_bytes_than_allowed():
    assert cut_to_bytes("abc", 3) == "abc"
    assert cut_to_bytes("😀" * 100, 203) == "😀" * 50
    assert len(os.fsencode(cut_to_bytes("a细" * 100, 100))) <= 100


def test_bytes_of_a_path_become_unicode():
    assert with_bytes_escaped("图片/caf\udce9\n.jpg") == "图片/caf\\xe9\n.jpg"
