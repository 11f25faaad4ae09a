"""A fitted model's report: one HTML file that opens anywhere, without a network.

A model becomes the file by ::

    contents = gather(...)      contents.py    numbers: no pixels, no HTML
    bitmaps = Bitmaps()         thumbnails.py  pixels of crops and images
    html = render(...)          page.py        templates/: HTML, CSS, JavaScript
"""

from skdpnet.reporting.html_report import report

__all__ = ["report"]
