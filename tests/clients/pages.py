"""The web pages in headless Chromium: browser and folder for screenshots are arguments."""

import os
import sys

from playwright.sync_api import sync_playwright

browser_path, shots = sys.argv[1:]
server, key = os.environ["SERVER"], os.environ["KEY"]
HOSTILE = "<img src=x onerror=alert(1)> Ragtime was born in Missouri."


def playground(page):
    page.goto(server)
    page.fill("#key", key)
    page.fill("#id", "born")
    page.fill("#text", HOSTILE)
    page.click("#put button")
    page.locator("#put-said", has_text="Added").wait_for()
    page.fill("#query", "Who wrote the Maple Leaf Rag?")
    page.click("#ask button")
    page.wait_for_selector("#cites button")
    assert "Scott Joplin" in page.inner_text("#answer")
    mark = page.inner_text("mark")
    assert mark == "Scott Joplin wrote the Maple Leaf Rag in 1899.", mark
    page.click("#cites button")
    assert page.locator("mark.on").count() == 1
    assert "budget left" in page.inner_text("#quota")
    assert " ms" in page.inner_text("#ask-said")
    page.screenshot(path=f"{shots}/playground.png", full_page=True)
    page.fill("#query", "Where was Ragtime born?")
    page.click("#ask button")
    page.locator("#answer", has_text="Missouri").wait_for()
    assert page.locator("main img").count() == 0


def docs(page):
    page.goto(f"{server}/docs")
    page.wait_for_selector("#search")
    page.click("#search > summary")
    page.fill("#search textarea", '{"query": "Maple Leaf Rag"}')
    page.click("#search button")
    page.wait_for_selector("#search form pre")
    assert '"document_id": "joplin"' in page.inner_text("#search form pre")
    page.screenshot(path=f"{shots}/docs.png")


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    page = browser.new_page()
    wrong, asked = [], []
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    playground(page)
    docs(page)
    assert not wrong, wrong
    assert all(url.startswith(server) for url in asked), asked
    browser.close()
