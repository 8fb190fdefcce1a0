"""Which files are one field."""

import pytest

from astro_objdet.errors import InputError
from astro_objdet.fields import Field, expand_inputs, group_fields, split_band


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("abell_g.fits", ("abell", "g")),
        ("abell-r.fits.bz2", ("abell", "r")),
        ("abell.i.fits.fz", ("abell", "i")),
        ("reprojected_sdss_g.fits.bz2", ("reprojected_sdss", "g")),
        ("CFHTLS-test_i.fits", ("CFHTLS-test", "i")),
        ("frame-g-001737-5-0039.fits.bz2", ("frame-001737-5-0039", "g")),
        ("calexp-HSC-I-9813.fits", ("calexp-HSC-9813", "i")),
        ("m31_f814w_drz.fits", ("m31_drz", "F814W")),
        ("coma_Ks.fit", ("coma", "Ks")),
        ("SPT-CLJ0157-5821_zrg_8bit.fits", ("SPT-CLJ0157-5821_zrg_8bit", None)),
        ("big.png", ("big", None)),
    ],
)
def test_split_band(name, expected):
    assert split_band(name) == expected


def test_split_band_takes_the_folder_for_a_file_named_after_its_band(tmp_path):
    folder = tmp_path / "coma"
    folder.mkdir()
    assert split_band(folder / "g.fits") == ("coma", "g")


def test_split_band_knows_the_bands_asked_for():
    assert split_band("coma_NB921.fits") == ("coma_NB921", None)
    assert split_band("coma_NB921.fits", ["NB921"]) == ("coma", "NB921")


def test_files_that_differ_in_the_band_are_one_field():
    names = ["a_r.fits", "a_g.fits", "cube.fits", "b_g.fits", "a_i.fits", "b_i.fits"]
    fields = group_fields(names)
    assert [field.name for field in fields] == ["a", "cube", "b"]
    assert fields[0].bands == ("g", "i", "r")
    assert list(map(str, fields[0].image.values())) == [
        "a_g.fits",
        "a_i.fits",
        "a_r.fits",
    ]
    assert str(fields[1].image) == "cube.fits"


def test_a_band_alone_keeps_its_whole_name():
    (field,) = group_fields(["abell_g.fits"])
    assert field == Field("abell_g", field.paths)
    assert str(field.image) == "abell_g.fits"


def test_equal_names_in_two_folders_are_two_fields():
    files = [f"{night}/a_{band}.fits" for night in ("n1", "n2") for band in "gr"]
    assert [field.name for field in group_fields(files)] == ["n1_a", "n2_a"]


def test_names_stay_unique():
    fields = group_fields(["x/n/a.fits", "y/n/a.fits"])
    assert [field.name for field in fields] == ["n_a", "n_a_2"]


def test_a_folder_stands_for_its_images(tmp_path):
    for name in ("b_g.fits", "a.FITS.gz", "notes.txt", "view.png", "p.jpg", "p.wcs"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.fits").touch()
    paths, problems = expand_inputs([tmp_path])
    assert [path.name for path in paths] == ["a.FITS.gz", "b_g.fits", "p.jpg"]
    assert problems == []


def test_patterns_and_doubles(tmp_path):
    for name in ("a_g.fits", "a_r.fits", "a[1].fits"):
        (tmp_path / name).touch()
    paths, _ = expand_inputs([tmp_path / "a_?.fits", tmp_path / "a_g.fits"])
    assert [path.name for path in paths] == ["a_g.fits", "a_r.fits"]
    paths, _ = expand_inputs([tmp_path / "a[1].fits"])
    assert [path.name for path in paths] == ["a[1].fits"]


def test_inputs_that_stand_for_nothing(tmp_path):
    paths, problems = expand_inputs([tmp_path, "no*.fits", "missing.fits"])
    assert [str(path) for path in paths] == ["missing.fits"]
    assert [str(error) for _, error in problems] == [
        f"{tmp_path}: the folder holds no FITS image",
        "no*.fits: no file matches the pattern",
    ]


def test_check_names_the_missing_file(tmp_path):
    (tmp_path / "a_g.fits").touch()
    (field,) = group_fields([tmp_path / "a_g.fits", tmp_path / "a_r.fits"])
    with pytest.raises(InputError, match=r"a_r\.fits: there is no such file"):
        field.check()


def test_check_refuses_a_band_given_twice(tmp_path):
    paths = [tmp_path / "a_g.fits", tmp_path / "a_g.fits.gz"]
    for path in paths:
        path.touch()
    (field,) = group_fields(paths)
    with pytest.raises(InputError, match=r"band g is already given by .*a_g\.fits$"):
        field.check()
