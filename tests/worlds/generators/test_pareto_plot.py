from xml.etree import ElementTree

from terrarium.worlds.generators.pareto_plot import Line, pareto_plot

SVG = "{http://www.w3.org/2000/svg}"


def test_every_measurement_is_a_dot_and_the_best_has_a_ring() -> None:
    points = [{"step": 8 * i, "reward": 0.2 + 0.1 * i, "fd": 4.0 + 10 * i} for i in range(4)]
    plot = ElementTree.fromstring(pareto_plot("<palette>", {"nabla": [Line(points, 16)], "refl": [Line(points, 0)]}))
    circles = plot.findall(f"{SVG}circle")
    assert len(circles) == 8 + 2 and sum(circle.get("fill") == "none" for circle in circles) == 2
    assert len(plot.findall(f"{SVG}polyline")) == 2 and plot.findtext(f"{SVG}title") == "<palette>"
    xs = [float(circle.get("cx")) for circle in circles[:3]]
    ys = [float(circle.get("cy")) for circle in circles[:3]]
    assert xs == sorted(xs) and ys == sorted(ys, reverse=True)


def test_a_single_point_is_drawn() -> None:
    point = {"step": 0, "reward": 0.2, "fd": 0.0}
    assert "nan" not in pareto_plot("one", {"nabla": [Line([point], 0)]})
