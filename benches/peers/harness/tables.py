"""Markdown: tables, and parts of a document between two marks. Needs the standard library alone."""


def table(header, rows):
    """A Markdown table. Numbers are written with three significant digits; what is missing is a dash."""
    lines = [header, ["---"] * len(header), *rows]
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"a row has not the {len(header)} cells of the header")
    return "".join("| " + " | ".join(cell(value) for value in line) + " |\n" for line in lines)


def cell(value):
    if value is None:
        return "–"
    if isinstance(value, float):
        return number(value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def number(value):
    """Three significant digits, and no exponent but for what is very small."""
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    digits = f"{value:.3g}"
    return f"{value:.0f}" if "e" in digits else digits


def share(part, whole):
    """A percentage."""
    return f"{100 * part / whole:.0f} %" if whole else None


def replace_between_marks(text, name, content):
    """`text` with `content` in place of what is between the marks of `name`."""
    begin, end = f"<!-- peers: {name} -->", f"<!-- /peers: {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the document should have {begin} and then {end} once")
    before, rest = text.split(begin)
    return before + begin + content + end + rest.split(end)[1]
