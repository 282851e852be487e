"""Takes the wall's picture in a real Chromium: tools/screenshot.py FILE.png [--url URL] [--width N] [--height N].

For the README: start ``./run``, wait until every tile has its state (or break something), and take the picture.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
LARGEST = 400_000
"""Bytes of a picture that a reader of the README loads."""


def take(url: str, file: Path, size: tuple[int, int], *, whole: bool) -> int:
    """Save what a person sees at ``url`` in a window of ``size`` (or, with ``whole``, the whole page); its bytes.

    Raises:
        SystemExit: there is no Chromium, or the page is not live.
    """
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        raise SystemExit("No Chromium here. As root:  apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        # --no-sandbox: the sandbox does not work for root, and the only page that is opened is our own.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        window = ViewportSize(width=size[0], height=size[1])
        page = browser.new_page(viewport=window, locale="zh-CN", timezone_id="Asia/Shanghai")
        answer = page.goto(url, wait_until="domcontentloaded")
        if answer is None or not answer.ok:
            raise SystemExit(f"{url} answers {answer and answer.status}")
        page.wait_for_selector('#live[data-state="live"]')  # the page hears the daemon
        page.evaluate("document.fonts.ready")
        page.screenshot(path=file, full_page=whole)
        browser.close()
    return file.stat().st_size


def main() -> int:
    """Take the picture that the command line asks for; 1 where it is too large for the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="PNG to write")
    parser.add_argument("--url", default="http://127.0.0.1:8640/", help="the wall page (default: %(default)s)")
    parser.add_argument("--width", type=int, default=1600, help="of the window, in pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=900, help="of the window, in pixels (default: %(default)s)")
    parser.add_argument("--whole", action="store_true", help="the whole page, however long")
    wanted = parser.parse_args()
    size = take(wanted.url, wanted.file, (wanted.width, wanted.height), whole=wanted.whole)
    print(f"{wanted.file}: {size / 1000:.0f} KB")
    if size > LARGEST:
        print(f"more than {LARGEST // 1000} KB: take a smaller window", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
