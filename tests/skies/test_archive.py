"""Archives: whole or not there, whatever happens to the writer, and checked when opened."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from astropy.table import QTable, Table

from astro_objdet.detectors import get_recipe
from astro_objdet.errors import InputError, OutputExistsError, ResourceError
from astro_objdet.skies.archive import Archive, ArchiveWriter

#: Two by two pixels of SDSS.
RECIPE = get_recipe("deepcee-lite0").replace(pixel_scale=0.792)
SHAPE = (48, 64)
LAYOUT = {
    "bands": ("g", "r", "i"),
    "pixel_scale": 0.792,
    "shape": SHAPE,
    "unit": "nmgy / arcsec2",
    "recipe": "deepcee-lite0",
    "columns": ("number",),
}

# Appends images whose every pixel is their number, until it is killed.
ENDLESS = """
import sys, numpy as np
from astro_objdet.skies.archive import ArchiveWriter
layout = dict(bands="gri", pixel_scale=0.792, shape=(48, 64), columns=("number",))
make = ArchiveWriter if sys.argv[2] == "new" else ArchiveWriter.resume
writer = make(sys.argv[1], **layout)
print("open", flush=True)
while True:
    k = writer.n_images
    boxes = [dict(x1=1, y1=2, x2=3 + j, y2=9, number=k) for j in range(1 + k % 3)]
    writer.append(np.full((3, 48, 64), k % 1000, np.float16), boxes, field=f"field {k}")
"""


def box(**values):
    return {"x1": 4, "y1": 5, "x2": 24, "y2": 30, **values}


def image_of(number, dtype=np.float16):
    rng = np.random.default_rng(number)
    return rng.normal(0, 1, (3, *SHAPE)).astype(dtype)


@pytest.fixture
def build(tmp_path, make_wcs):
    """A function that makes an archive of some images and gives its path."""

    def make(count=3, name="archive.h5", **changes):
        path = tmp_path / name
        with ArchiveWriter(path, **{**LAYOUT, **changes}) as writer:
            for k in range(count):
                wcs = make_wcs(SHAPE, scale=0.792, ra=150 + k, dec=2)
                writer.append(
                    image_of(k),
                    [box(number=k, redshift=0.2), box(role="confusion", label="cluster")],
                    wcs=wcs,
                    field=f"field {k}",
                    group=f"group {k}",
                    cell=k,
                    split="train" if k else "test",
                )
        return path

    return make


def test_what_is_written_is_read(build, make_wcs):
    archive = Archive(build(provenance={"seed": 7}))
    assert archive.n_images == len(archive) == 3
    assert archive.complete
    assert (archive.bands, archive.shape, archive.kind) == (("g", "r", "i"), SHAPE, "raw")
    assert (archive.unit, archive.labels, archive.stretch) == (
        "nmgy / arcsec2",
        ("cluster",),
        None,
    )
    assert archive.provenance == {"seed": 7}
    for k in range(3):
        np.testing.assert_array_equal(archive.image(k), image_of(k))
        objects = archive.objects(k)
        assert objects["role"].tolist() == ["target", "confusion"]
        assert objects["number"][0] == k
        assert np.isnan(objects["number"][1])
        assert objects[["x1", "y1", "x2", "y2"]][0].tolist() == (4, 5, 24, 30)
        wcs = make_wcs(SHAPE, scale=0.792, ra=150 + k, dec=2)
        sky = archive.wcs(k).pixel_to_world(3, 5)
        assert sky.separation(wcs.pixel_to_world(3, 5)).arcsec < 1e-6
    assert archive.splits == {"test": 1, "train": 2}
    assert archive.rows("train").tolist() == [1, 2]
    assert archive.rows().tolist() == [0, 1, 2]
    assert archive.table["image"].tolist() == [0, 0, 1, 1, 2, 2]
    images = archive.images
    assert images["field"].tolist() == ["field 0", "field 1", "field 2"]
    assert images["cell"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(images["ra"], [150, 151, 152], atol=1e-9)
    with pytest.raises(InputError, match="no split 'valid'; it has 'test', 'train'"):
        archive.rows("valid")
    with pytest.raises(IndexError, match="0 to 2, got 3"):
        archive.image(3)
    with pytest.raises(AttributeError, match="nothing"):
        _ = archive.nothing


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_pixels_of_every_type_and_packing(tmp_path, dtype, compression):
    pixels = np.arange(3 * 48 * 64).reshape(3, *SHAPE) % 251
    noise = image_of(1, np.float32).view(np.uint8)[..., :64].copy()  # that cannot be packed
    kind = "stretched" if dtype == "uint8" else "raw"
    path = tmp_path / "a.h5"
    layout = {**LAYOUT, "dtype": dtype, "kind": kind, "compression": compression}
    with ArchiveWriter(path, **layout) as writer:
        writer.append(pixels.astype(dtype), [box()], field="a")
        writer.append(noise.astype(dtype), field="b")
    archive = Archive(path)
    assert archive.image(0).dtype == np.dtype(dtype)
    np.testing.assert_array_equal(archive.image(0), pixels)
    np.testing.assert_array_equal(archive.image(1), noise)
    archive.image(0)[:] = 0  # callers may work in place


def test_fluxes_keep_masks_and_stay_in_range(tmp_path):
    pixels = np.full((3, *SHAPE), 1e6, np.float32)
    pixels[0, 0, 0], pixels[1, 0, 0] = np.nan, -np.inf
    with ArchiveWriter(tmp_path / "a.h5", **LAYOUT) as writer:
        writer.append(pixels, [box()], field="a")
    stored = Archive(tmp_path / "a.h5").image(0)
    assert np.isnan(stored[0, 0, 0])
    assert stored[1, 0, 0] == -65504
    assert stored[2, 0, 0] == 65504


def test_objects_may_be_a_table_with_units_and_gaps(tmp_path):
    table = QTable(Table([box(redshift=0.2), box(redshift=0.3)]), masked=True)
    table["redshift"].mask[1] = True
    with ArchiveWriter(tmp_path / "a.h5", **LAYOUT) as writer:
        writer.append(image_of(0), table, field="a")
        writer.append(image_of(0), table[:0], field="b")
    archive = Archive(tmp_path / "a.h5")
    np.testing.assert_array_equal(archive.objects(0)["redshift"], [0.2, np.nan])
    assert len(archive.objects(1)) == 0


def test_same_content_gives_the_same_bytes(build):
    assert build(name="a.h5").read_bytes() == build(name="b.h5").read_bytes()


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([box(x1=24)], r"object 0: box .*\(24, 5, 24, 30\) must have an area"),
        ([box(), box(y2=np.nan)], "object 1: box .* must be finite"),
        ([box(x2=200)], "must have its centre inside the image of 64 x 48 pixels"),
        ([box(label="arc")], "label must be one of cluster; got 'arc'"),
        ([box(role="noise")], "role must be one of target, ignored, confusion, decoy; got 'noise'"),
        ([box(mass=1)], "not made for: mass"),
        ([{"x1": 1}], "objects must have x1, y1, x2 and y2; y1 is missing"),
        ([box(redshift="far")], "redshift must be numbers"),
    ],
)
def test_bad_objects_are_refused_and_nothing_is_appended(tmp_path, objects, message):
    path = tmp_path / "a.h5"
    with ArchiveWriter(path, **LAYOUT) as writer:
        writer.append(image_of(0), [box()], field="a")
        with pytest.raises(InputError, match=f"a.h5: image 1 .b.: .*{message}"):
            writer.append(image_of(1), objects, field="b")
        writer.append(image_of(2), [box()], field="c")
    assert Archive(path).images["field"].tolist() == ["a", "c"]


def test_bad_images_and_names_are_refused(tmp_path):
    with ArchiveWriter(tmp_path / "a.h5", **LAYOUT) as writer:
        with pytest.raises(InputError, match=r"shape \(band, y, x\) = \(3, 48, 64\)"):
            writer.append(np.zeros((3, 64, 48)), field="a")
        with pytest.raises(InputError, match="must be of type float16, got complex128"):
            writer.append(np.zeros((3, *SHAPE), complex), field="a")
        with pytest.raises(InputError, match="field must have at most 128 bytes"):
            writer.append(image_of(0), field="a" * 129)
    with pytest.raises(InputError, match="was closed"):
        writer.append(image_of(0), field="a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "flux"}, "kind must be one of 'raw', 'stretched'"),
        ({"dtype": "float64"}, "dtype must be one of"),
        ({"bands": ("g", "g", "r")}, "bands must be names, each different"),
        ({"shape": (0, 4)}, "shape must be"),
        ({"columns": ("redshift",)}, "columns must be"),
        ({"compression": "lzma"}, "compression must be one of"),
        ({"pixel_scale": -1}, "pixel_scale must be a finite number above 0"),
    ],
)
def test_bad_layouts_are_refused_before_a_file_is_made(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        ArchiveWriter(tmp_path / "a.h5", **{**LAYOUT, **changes})
    assert list(tmp_path.iterdir()) == []


def test_boxes_beyond_the_border_where_recipes_do_not_clip(tmp_path):
    reaching = [box(x1=-20)]
    with ArchiveWriter(tmp_path / "open.h5", **LAYOUT) as writer:
        writer.append(image_of(0), reaching, field="a")
    assert Archive(tmp_path / "open.h5").objects(0)["x1"] == -20
    with ArchiveWriter(tmp_path / "clipped.h5", clip_boxes=True, **LAYOUT) as writer:
        with pytest.raises(InputError, match="must lie inside the image"):
            writer.append(image_of(0), reaching, field="a")
        writer.append(image_of(0), [box(x1=0, x2=64)], field="a")
    with pytest.raises(InputError, match="boxes cut at the border, and deepcee-lite0 has whole"):
        Archive(tmp_path / "clipped.h5", recipe=RECIPE)
    Archive(tmp_path / "clipped.h5", recipe=get_recipe("deepcee-paper"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": ("g", "r", "z")}, "bands g, r, z, and deepcee-lite0 has i, r, g"),
        ({"pixel_scale": 0.396}, "a pixel scale 0.396 arcsec, and deepcee-lite0 has 0.792"),
        ({"labels": ("cluster", "arc")}, "labels cluster, arc, and deepcee-lite0 has cluster"),
        ({"kind": "stretched", "stretch": {"name": "hsc"}}, "a stretch {'name': 'hsc'}"),
        ({"unit": "adu"}, "pixels in adu, and deepcee-lite0 has nmgy / arcsec2"),
    ],
)
def test_archive_of_another_recipe_is_refused(build, changes, message):
    path = build(**changes)
    with pytest.raises(InputError, match=f"archive.h5: is of another recipe: it has {message}"):
        Archive(path, recipe=RECIPE)


def test_archive_that_fits_the_recipe_is_accepted(build):
    Archive(build(), recipe=RECIPE)
    pictures = {"kind": "stretched", "stretch": RECIPE.stretch}
    Archive(build(name="b.h5", **pictures), recipe=RECIPE)


def test_files_that_are_no_archive(tmp_path, build):
    with pytest.raises(InputError, match=r"none.h5: cannot be read: No such file"):
        Archive(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("SIMPLE  =                    T")
    with pytest.raises(InputError, match=r"text.h5: is no archive: it is not an HDF5 file"):
        Archive(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = [1, 2]
    with pytest.raises(InputError, match=r"other.h5: is an HDF5 file, but no archive"):
        Archive(tmp_path / "other.h5")
    path = build()
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(InputError, match="is of format version 99; this program reads 1"):
        Archive(path)


@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_truncated_archive(build, part):
    path = build(20)
    os.truncate(path, int(part * path.stat().st_size))
    with pytest.raises(InputError, match=r"archive.h5: is truncated"):
        Archive(path)


def _half_built(build, tmp_path):
    """Bytes of an archive whose writer has it open."""
    path = build(3)
    with ArchiveWriter.resume(path, **LAYOUT):
        return path.read_bytes()


def test_a_copy_of_a_half_built_archive_is_read(build, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(_half_built(build, tmp_path))
    assert len(Archive(copy)) == 3
    np.testing.assert_array_equal(Archive(copy).image(2), Archive(build(3, name="b.h5")).image(2))


@pytest.mark.parametrize("length", [8, 20, 48, 64, 500, 3000, 9000, 14000])
def test_truncated_copy_of_a_half_built_archive_is_told_at_once(build, tmp_path, length):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(_half_built(build, tmp_path)[:length])
    with pytest.raises(InputError, match=r"copy.h5: (is truncated|cannot be read|has a header)"):
        Archive(copy)


@pytest.mark.parametrize("place", [13, 387, 692, 8448])
def test_a_wrong_byte_in_what_hdf5_keeps_for_itself_is_told_at_once(build, place):
    path = build(20)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"archive.h5: (cannot be read|has a header|is damaged)"):
        Archive(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x2", 4, r"object 2 \(image 1\): box .* must have an area"),
        ("y1", np.nan, r"object 2 \(image 1\): box .* must be finite"),
        ("x1", 500, r"object 2 \(image 1\): .*must"),
        ("label", 7, "object 2 has a label or role that is not one of"),
    ],
)
def test_bad_boxes_in_the_file(build, name, value, message):
    path = build()
    with h5py.File(path, "r+") as file:
        objects = file["objects"][:]
        objects[name][2] = value
        file["objects"][:] = objects
    with pytest.raises(InputError, match=message):
        Archive(path)


def test_lengths_and_records_that_do_not_agree(build):
    path = build()
    with h5py.File(path, "r+") as file:
        file["objects"].resize(2, axis=0)
    with pytest.raises(InputError, match="objects must have 6 entries for 3 images, got 2"):
        Archive(path)
    path = build(name="b.h5")
    with h5py.File(path, "r+") as file:
        rows = file["rows"][:]
        rows["objects"][1] = 1
        file["rows"][:] = rows
    with pytest.raises(InputError, match="the record of image 1 is not whole"):
        Archive(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes", b'{"leak": ', "Expecting value"),
        ("splits", b"\xff", "codec can't decode"),
        ("rows", None, "no field of name first_object"),
    ],
)
def test_content_that_no_writer_has_written(build, name, content, reason):
    path = build()
    with h5py.File(path, "r+") as file:
        if content is None:
            del file[name]
            file[name] = np.zeros(3, [("crc", "<u4")])
        else:
            file[name][...] = content
    with pytest.raises(InputError, match=f"archive.h5: is damaged: .*{reason}"):
        Archive(path)


def test_long_groups_are_shortened_each_to_its_own(tmp_path):
    long, other = "ü" * 80, "ü" * 79 + "v"
    with ArchiveWriter(tmp_path / "a.h5", **LAYOUT) as writer:
        for k, group in enumerate((long, other, long, "x" * 64)):
            writer.append(image_of(k), [box()], field=f"field {k}", group=group)
    one, two, same, short = Archive(tmp_path / "a.h5").images["group"]
    assert one == same != two
    assert one.startswith("ü" * 20)
    assert short == "x" * 64


def test_archive_without_targets(tmp_path):
    with ArchiveWriter(tmp_path / "a.h5", **LAYOUT) as writer:
        writer.append(image_of(0), [box(role="confusion")], field="a")
    with pytest.raises(InputError, match="has no positives: none of its 1 objects is a target"):
        Archive(tmp_path / "a.h5")
    assert Archive(tmp_path / "a.h5", need_targets=False).n_images == 1


def test_readable_while_it_is_built(tmp_path):
    path = tmp_path / "a.h5"
    code = (
        "import sys; from astro_objdet.skies.archive import Archive; a = Archive(sys.argv[1]);"
        "print(a.n_images, a.complete, float(a.image(a.n_images - 1)[0, 0, 0]))"
    )
    with ArchiveWriter(path, **LAYOUT) as writer:
        for k in range(3):
            writer.append(np.full((3, *SHAPE), k), [box()], field=f"{k}")
        early = Archive(path)
        command = [sys.executable, "-c", code, str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert told.split() == ["3", "False", "2.0"]
        writer.append(np.full((3, *SHAPE), 3), [box()], field="3")
        assert (early.n_images, early.complete) == (3, False)
        assert Archive(path).n_images == 4
    assert Archive(path).complete
    assert early.image(2)[0, 0, 0] == 2


def killed_writer(path, how, images):
    """Kill a writer with SIGKILL once it has appended some images."""
    program = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path), how], stdout=subprocess.PIPE
    )
    try:
        assert program.stdout.readline() == b"open\n"
        before = Archive(path, need_targets=False).n_images
        deadline = time.monotonic() + 30
        while Archive(path, need_targets=False).n_images < before + images:
            assert time.monotonic() < deadline
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()
        program.stdout.close()


def check_numbers(archive):
    for k in range(archive.n_images):
        assert (archive.image(k) == k % 1000).all()
        assert archive.objects(k)["number"].tolist() == [k] * (1 + k % 3)


def test_killed_writer_leaves_what_was_whole_and_resume_goes_on(tmp_path):
    path, last = tmp_path / "a.h5", 0
    for how, images in (("new", 2), ("go on", 7), ("go on", 1)):
        killed_writer(path, how, images)
        archive = Archive(path)
        assert archive.n_images >= last + images
        assert not archive.complete
        check_numbers(archive)
        last = archive.n_images
    layout = {"bands": "gri", "pixel_scale": 0.792, "shape": SHAPE, "columns": ("number",)}
    with ArchiveWriter.resume(path, **layout) as writer:
        assert writer.n_images == last
        assert len(writer.fields) == last
        writer.append(
            np.full((3, *SHAPE), last % 1000), [box(number=last)] * (1 + last % 3), field=""
        )
    assert Archive(path).complete
    check_numbers(Archive(path))
    assert [name.name for name in tmp_path.iterdir()] == ["a.h5"]


def test_torn_record_is_not_there(build):
    """What a kill in the middle of writing a record may leave."""
    path = build()
    with h5py.File(path, "r+") as file:
        file["rows"].resize(4, axis=0)
        file["state"][0] = 0
    assert Archive(path).n_images == 3
    with ArchiveWriter.resume(path) as writer:
        writer.append(image_of(3), [box()], field="field 3")
    assert Archive(path).n_images == 4
    np.testing.assert_array_equal(Archive(path).image(3), image_of(3))


def test_full_disk_keeps_what_was_there(tmp_path):
    code = """
import resource, sys, numpy as np
from astro_objdet.errors import ResourceError
from astro_objdet.skies.archive import ArchiveWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
writer = ArchiveWriter(sys.argv[1], bands="gri", pixel_scale=1.0, shape=(48, 64))
try:
    while True:
        one = np.full((3, 48, 64), writer.n_images)
        writer.append(one, [dict(x1=1, y1=2, x2=5, y2=9)], field=str(writer.n_images))
except ResourceError as error:
    print(writer.n_images, writer.closed, error)
writer.close()
"""
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", code, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, closed, *text = told.split()
    assert "a.h5: cannot be written: no space left on the disk" in " ".join(text)
    assert closed == "True"
    archive = Archive(path)
    assert archive.n_images == int(count) > 5
    assert not archive.complete
    for k in range(archive.n_images):
        assert (archive.image(k) == k).all()
    with ArchiveWriter.resume(path) as writer:
        writer.append(image_of(0), [box()], field="more")
    assert Archive(path).n_images == int(count) + 1


def test_resume_wants_the_same_layout_and_one_writer(build):
    path = build()
    with pytest.raises(InputError, match="was made with pixel_scale 0.792, and 0.5 was asked for"):
        ArchiveWriter.resume(path, pixel_scale=0.5)
    writer = ArchiveWriter.resume(path, **LAYOUT)
    with pytest.raises(InputError, match="archive.h5: is being written by another program"):
        ArchiveWriter.resume(path)
    writer.close()
    with h5py.File(path, "r"), pytest.raises(InputError, match="archive.h5: is open elsewhere"):
        ArchiveWriter.resume(path)
    with pytest.raises(OutputExistsError, match="archive.h5"):
        ArchiveWriter(path, **LAYOUT)
    assert Archive(path).n_images == 3
    with ArchiveWriter(path, overwrite=True, **LAYOUT) as writer:
        writer.append(image_of(5), [box()], field="new")
    assert Archive(path).n_images == 1


def test_error_in_the_middle_leaves_a_half_built_archive(tmp_path):
    with (
        pytest.raises(ZeroDivisionError, match="zero"),
        ArchiveWriter(tmp_path / "a.h5", **LAYOUT) as writer,
    ):
        writer.append(image_of(0), [box()], field="a")
        _ = 1 / 0
    archive = Archive(tmp_path / "a.h5")
    assert (archive.n_images, archive.complete) == (1, False)


def test_provenance_known_late_is_added(build):
    path = build(provenance={"seed": 1, "redshift_range": (0.05, np.inf), "cut": np.float32("nan")})
    writer = ArchiveWriter.resume(path)
    writer.add_provenance(masked=4, limit=np.inf)
    writer.close()
    # as JSON has it
    known = {"seed": 1, "redshift_range": [0.05, None], "cut": None}
    assert Archive(path).provenance == known | {"masked": 4, "limit": None}


def test_splits_change_all_at_once(build):
    path = build()
    writer = ArchiveWriter.resume(path)
    writer.set_splits(["fold0", "fold1", "fold1"], {"scheme": "kfold", "leak": "sky is shared"})
    with pytest.raises(InputError, match="got 1 splits for 3 images"):
        writer.set_splits(["train"], {})
    with pytest.raises(InputError, match="split must have at most 24 bytes"):
        writer.set_splits(["t" * 30] * 3, {})
    writer.close(complete=None)
    archive = Archive(path)
    assert archive.complete
    assert archive.splits == {"fold0": 1, "fold1": 2}
    assert archive.leak == "sky is shared"
    assert archive.split_record["scheme"] == "kfold"


def test_half_written_splits_do_not_count(build):
    """What a kill during `set_splits` may leave: the other generation written in part."""
    path = build()
    with h5py.File(path, "r+") as file:
        file["splits"][0, 1] = b"new"
        file["notes"][1] = json.dumps({"scheme": "new"}).encode()
    assert Archive(path).splits == {"test": 1, "train": 2}


READERS = """
import multiprocessing, sys
from astro_objdet.skies.archive import Archive

def total(archive, number):
    return float(archive.image(number).astype(float).sum())

if __name__ == "__main__":
    archive = Archive(sys.argv[1])
    expected = [total(archive, k) for k in range(3)]
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        found = pool.starmap(total, [(archive, k) for k in (0, 1, 2) * 3])
    print(found == expected * 3)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_processes_read(build, tmp_path, method):
    """In a program of its own: one that runs tests has threads, and must not fork."""
    script = tmp_path / "readers.py"
    script.write_text(READERS)
    command = [sys.executable, script, build(), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"


def test_pickled_archive_notices_another_file(build):
    path = build()
    archive = Archive(path)
    copy = pickle.loads(pickle.dumps(archive))
    np.testing.assert_array_equal(copy.image(2), archive.image(2))
    with ArchiveWriter(path, overwrite=True, **LAYOUT) as writer:
        writer.append(image_of(9), [box()], field="a")
    with pytest.raises(InputError, match="was replaced since it was opened"):
        copy.image(0)


def test_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="folder .*nowhere does not exist"):
        ArchiveWriter(tmp_path / "nowhere" / "a.h5", **LAYOUT)


def test_missing_h5py_is_told(tmp_path):
    (tmp_path / "h5py.py").write_text("raise ImportError('none')")
    code = "import astro_objdet.skies.archive"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert 'pip install "astro-objdet[simulate]"' in result.stderr
    assert ResourceError.__name__ in result.stderr
