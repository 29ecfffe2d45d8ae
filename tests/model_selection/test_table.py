from sktl.model_selection._table import as_html, as_text

TABLE = [["", "score"], ["a < b", "0.5"], ["c", "1"]]


def test_columns_are_aligned():
    assert as_text(TABLE) == "       score\na < b  0.5\nc      1"


def test_html_is_escaped():
    html = as_html(TABLE, "x & y")
    assert "<caption>x &amp; y</caption>" in html
    assert "<tr><th>a &lt; b</th><td>0.5</td></tr>" in html
