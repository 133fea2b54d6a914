"""What the tests of this room share: a writer of workbooks, and the message of a refusal."""

from __future__ import annotations

import zipfile

import pytest

from raysearch.data import read_table
from raysearch.errors import DataError


@pytest.fixture
def excel():
    """Return a function that writes rows to a workbook."""
    return write_workbook


@pytest.fixture
def message():
    """Return a function that tells the message with which a source is refused."""
    return refusal


def write_workbook(path, rows):
    """Write the smallest workbook there is: no writer of .xlsx is among the test libraries."""

    def cell(value):
        if value is None:
            return "<c/>"
        if isinstance(value, int | float):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{rel}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(name, text)


def refusal(source, **more):
    with pytest.raises(DataError) as caught:
        read_table(source, **more)
    text = str(caught.value)
    assert "Traceback" not in text and len(text) < 1200
    return text
