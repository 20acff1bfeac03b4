"""A stranger's text made visible: nothing in it acts on a terminal or a page, nothing hides."""


def visible(text: str) -> str:
    r"""Return `text` with every character that is not plainly visible as its escape: `\u001b`, `\u202e`, `\U000e0001`.

    These are control and format characters (escape sequences, line ends, bidirectional overrides, zero-width ones), separators
    other than the space, private and unassigned ones, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(ord(one)) for one in text)


def _escaped(number: int) -> str:
    return f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"
