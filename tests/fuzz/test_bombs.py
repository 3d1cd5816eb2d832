"""A small file that would unpack to all memory there is is refused before it is unpacked."""

import gzip
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bayespref.data import unfolded
from bayespref.data.table import read_comparisons
from bayespref.errors import TableError

ROWS = 300_000


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A mebibyte instead of a gibibyte, so that the bombs are small."""
    monkeypatch.setattr(unfolded, "ALLOWED", 1 << 20)


def repeated(text, n):
    return pa.array([text]).take(pa.array(np.zeros(n, dtype=np.int64)))


def bomb(folder, name):
    if name == "rows.csv.gz":
        (folder / name).write_bytes(gzip.compress(b"item_a,item_b,outcome\n") + gzip.compress(b"x,y,a\n" * ROWS))
    elif name == "header.csv.gz":
        (folder / name).write_bytes(gzip.compress(b"x" * (4 << 20)))
    else:
        n, text = (ROWS, "x") if name == "rows.parquet" else (2000, "x" * 100_000)
        table = pa.table({"item_a": repeated(text, n), "item_b": repeated("y", n), "outcome": repeated("a", n)})
        parquet.write_table(table, folder / name, compression="zstd")
    return folder / name


@pytest.mark.parametrize("name", ["rows.csv.gz", "header.csv.gz", "rows.parquet", "texts.parquet"])
def test_a_bomb_is_refused_without_unpacking_it(tmp_path, name):
    file = bomb(tmp_path, name)
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    with pytest.raises(TableError, match=r"unpack to more|longer than"):
        read_comparisons(file)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 1 << 20


@pytest.mark.parametrize("kind", ["csv.gz", "parquet"])
def test_a_table_that_packs_well_is_read(tmp_path, kind):
    rng = np.random.default_rng(0)
    a, n = rng.integers(0, 50, 100_000), 100_000
    table = pa.table(
        {
            "item_a": [f"model {i}" for i in a],
            "item_b": [f"model {i}" for i in (a + rng.integers(1, 50, n)) % 50],
            "outcome": np.array(["a", "b"])[rng.integers(0, 2, n)],
            "state": repeated("s", n),
        }
    )
    file = tmp_path / f"votes.{kind}"
    if kind == "parquet":
        parquet.write_table(table, file)
    else:
        file.write_bytes(gzip.compress(table.to_pandas().to_csv(index=False).encode()))
    assert len(read_comparisons(file).item_a) == n


def test_lengths_count_repeated_texts_at_every_row():
    texts = pa.array(["aa", "bbbb", None, "aa"]).dictionary_encode()
    assert unfolded._length(texts) == 8
