from html.parser import HTMLParser

from terrarium.worlds.world_model.evaluation.report import chart, table


def test_missing_figures_are_dashes_and_names_are_escaped():
    html = table("a < b", ["", "w"], [["<i>", None], ["x", 0.123456]], [[False, False], [False, True]])
    assert "a &lt; b" in html and "&lt;i&gt;" in html and "<td>–</td>" in html and "<td class=low>0.123</td>" in html


def test_a_chart_stays_within_its_frame():
    class Points(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found = []

        def handle_starttag(self, tag, attrs):
            if tag == "polyline":
                self.found.append([tuple(map(float, p.split(","))) for p in dict(attrs)["points"].split()])

    parser = Points()
    parser.feed(chart("t", [1, 2, 3], {"model": [5.0, 7.0, 6.0], "flat": [5.0, 5.0, 5.0]}))
    (up, flat) = parser.found
    assert all(0 <= x <= 340 and 0 <= y <= 170 for x, y in up + flat)
    assert up[1][1] < up[2][1] < up[0][1] == flat[0][1]  # larger values are higher up
    assert chart("t", [1], {"one": [2.0]})
