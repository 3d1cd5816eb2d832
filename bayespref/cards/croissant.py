"""A Croissant file: what a table of comparisons is, in the JSON-LD that data portals and loaders read.

Format: Croissant 1.0 (MLCommons, 2024), with the limits of the data under ``rai:`` of its Responsible AI vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FORMATS = {
    ".csv": "text/csv",
    ".parquet": "application/x-parquet",
    ".jsonl": "application/jsonlines",
    ".gz": "application/gzip",
}
"""Media type by ending of the table's file."""
_WORDS = {
    "item_a": "First item of the comparison.",
    "item_b": "Second item of the comparison.",
    "outcome": "Which item was preferred: a, b, tie or both_bad.",
    "label": "Number of the item preferred: 1 the first, 0 the second, 0.5 a tie.",
    "state": "What the comparison was about: prompt, task or kind of request.",
    "annotator": "Who judged.",
    "context": "Observed kind of asker or setting.",
    "environment": "Where or how the comparison was collected.",
    "position": "Which item was shown first.",
    "strength": "How strongly it was preferred.",
    "weight": "Weight of the row.",
    "propensity": "Probability with which this pair was shown.",
    "timestamp": "When it was judged.",
    "count": "How many comparisons the row stands for.",
    "comparison_id": "Identifier of the comparison.",
}
_NUMBERS = frozenset({"label", "strength", "weight", "propensity", "count"})


def croissant(
    *,
    name: str,
    description: str,
    file_name: str,
    file_sha256: str,
    file_bytes: int,
    columns: Mapping[str, str],
    limits: str,
    data_hash: str,
    version: str,
    license: str | None = None,
    url: str | None = None,
) -> dict[str, Any]:
    """Describe a file of comparisons in Croissant 1.0.

    Parameters
    ----------
    name, description : str
        Of the data set.
    file_name : str
        Name of the table's file, beside which the Croissant file is kept.
    file_sha256 : str
        64 hexadecimal digits of its hash.
    file_bytes : int
        Its size.
    columns : mapping of str to str
        Canonical name of each column -> its name in the file.
    limits : str
        What the table cannot tell; becomes ``rai:dataLimitations``.
    data_hash : str
        Hash of the comparisons, whatever file they lie in; becomes ``identifier``.
    version : str
        Version of the data set, such as 1.0.0.
    license, url : str, optional
        Licence (a URL or an SPDX name) and home page.

    Returns
    -------
    dict
        JSON-LD.

    Raises
    ------
    ValueError
        If the file's ending has no known media type.

    Examples
    --------
    >>> fields = croissant(name="votes", description="d", file_name="votes.csv", file_sha256="0" * 64, file_bytes=9,
    ...     columns={"item_a": "model_1"}, limits="two blocks", data_hash="ab", version="1.0.0")
    >>> fields["recordSet"][0]["field"][0]["source"]["extract"]
    {'column': 'model_1'}
    """
    ending = "." + file_name.rsplit(".", 1)[-1]
    if ending not in FORMATS:
        raise ValueError(f"file_name: must end in one of {sorted(FORMATS)}, got {file_name!r}")
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"comparisons/{canonical}",
            "name": canonical,
            "description": _WORDS.get(canonical, "Attribute of an item."),
            "dataType": "sc:Float" if canonical in _NUMBERS or canonical not in _WORDS else "sc:Text",
            "source": {"fileObject": {"@id": file_name}, "extract": {"column": column}},
        }
        for canonical, column in columns.items()
    ]
    found = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": name,
        "description": description,
        "version": version,
        "identifier": f"sha256:{data_hash}",
        "rai:dataLimitations": limits,
        "rai:dataBiases": "Whoever asks decides what is asked, and what the asker wants decides what is preferred: "
        "which pairs were compared, by whom and about what, is not random unless the collection made it so.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file_name,
                "name": file_name,
                "contentUrl": file_name,
                "contentSize": f"{file_bytes} B",
                "encodingFormat": FORMATS[ending],
                "sha256": file_sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "comparisons",
                "name": "comparisons",
                "description": "One row a comparison of two items.",
                "field": fields,
            }
        ],
    }
    return found | {key: value for key, value in (("license", license), ("url", url)) if value}
