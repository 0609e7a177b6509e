"""The inbox in a real browser: live, by channel, and safe from what customers write."""

from tests.api.browser import running_browser
from tests.sandbox.test_inbox import mail
from tests.sandbox.test_notice_peers import feishu, telegram, text
from tests.sandbox_server import SandboxServer

HOSTILE = '🚨 需要人工介入\n\n用户:<img src=x onerror="document.title=1"><script>1</script>'
SHOWN = "[...document.querySelectorAll('#items article')].filter(a => !a.hidden).length"


def test_the_inbox_shows_notices_as_they_come(sandbox_server: SandboxServer) -> None:
    feishu(sandbox_server, text("🚨 第一条\n\n用户:小明"))
    with running_browser() as browser, browser.page() as page:
        page.open(f"{sandbox_server.url}/_sandbox/staff/page")
        page.wait_for(f"{SHOWN} === 1")
        assert page.texts("#items h2") == ["🚨 第一条"]

        telegram(sandbox_server, chat_id=42, text=HOSTILE)
        mail(sandbox_server)
        page.wait_for(f"{SHOWN} === 3")
        assert page.texts("#items h2") == ["🚨 需要人工介入", "🚨 需要人工介入", "🚨 第一条"]
        assert '<img src=x onerror="document.title=1">' in page.texts("#items p")[1]
        assert page.evaluate("document.querySelectorAll('#items img, #items script').length") == 0
        assert page.evaluate("document.title") == "通知收件箱(沙箱)"

        for button, count in ((3, 1), (5, 0), (0, 3)):
            page.evaluate(f"document.querySelectorAll('#channels button')[{button}].click()")
            page.wait_for(f"{SHOWN} === {count}")
            assert page.evaluate("document.querySelector('#empty').hidden") is (count > 0)
        assert page.problems == []
