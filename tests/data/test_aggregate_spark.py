"""Grouping in Spark (local mode) gives the counts of reading row by row; needs Java and pyspark."""

import os
import shutil

import pytest

from bayespref.data.aggregate import aggregate, aggregation_text
from bayespref.data.table import read_comparisons
from bayespref.errors import TableError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # warnings of Spark's own are not ours to mend


@pytest.fixture(scope="module")
def spark():
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none on this machine")
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (pip install pyspark; 450 MB)")
    builder = sql.SparkSession.builder.master("local[1]").appName("bayespref-tests")
    settings = {"ui.enabled": "false", "sql.shuffle.partitions": "2", "driver.bindAddress": "127.0.0.1"}
    settings |= {"driver.host": "127.0.0.1", "ui.showConsoleProgress": "false"}
    for name, value in settings.items():
        builder = builder.config(f"spark.{name}", value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


SCHEMA = "item_a string, item_b string, outcome string, state string, annotator long, position string, weight double"


def rows_of(n=80):
    return [
        (
            f"m{k % 4}",
            f"m{(k + 1 + k % 3) % 4}",
            ("a", "b", "tie")[k % 3],
            f"s{k % 2}",
            k % 7,
            "a" if k % 5 else None,
            1.0 + k % 2,
        )
        for k in range(n)
    ]


def test_spark_gives_the_counts_of_reading_rows(spark):
    frame = spark.createDataFrame(rows_of(), SCHEMA)
    read = read_comparisons(frame.toPandas())
    assert aggregate(frame).data_hash == read.data_hash
    assert aggregate(frame, group_keys=("state",)).data_hash == (
        read_comparisons(frame.toPandas(), columns={"position": None}).pool("annotator").data_hash
    )
    assert "aggregate" in aggregation_text(frame).lower()


def test_spark_counts_broken_rows(spark):
    rows = rows_of()
    rows[5] = ("m0", None, *rows[5][2:])
    rows[6] = (*rows[6][:6], float("nan"))
    rows[7] = (*rows[7][:6], None)
    with pytest.raises(TableError) as error:
        aggregate(spark.createDataFrame(rows, SCHEMA))
    assert "item_b: must not be missing (null, NaN or empty); 1 bad row(s)" in str(error.value)
    assert "weight: must be finite and >= 0; 2 bad row(s)" in str(error.value)
