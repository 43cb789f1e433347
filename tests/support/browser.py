"""Headless Chromium on the Prefect UI: what a user clicks. Found by roles and labels, as a screen reader finds it."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from playwright.sync_api import Locator, Page, Response, TimeoutError, expect, sync_playwright
from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_delay

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
BUSY = 503
SOON = 30_000  # milliseconds until a button, a field or a menu that does not come counts as lost
SCREENSHOTS = "LATENTCRF_SCREENSHOTS"
"""The environment variable that names the folder to keep screenshots in."""


class PrefectPage:
    """The page of a browser on the Prefect UI at an address.

    Args:
        page: The browser's page.
        address: The server's URL.
        pictures: The folder for screenshots.
        patience: Seconds until what does not come counts as missing.
    """

    def __init__(self, page: Page, address: str, pictures: Path, patience: float) -> None:
        self.page, self.address, self.pictures, self.patience = page, f"{address}/v2", pictures, patience

    @classmethod
    @contextmanager
    def open(cls, address: str, pictures: Path, patience: float) -> Iterator[Self]:
        """Open a browser with a new profile. ``patience``: seconds until what does not come counts as missing."""
        pictures = Path(os.environ.get(SCREENSHOTS, pictures))
        pictures.mkdir(parents=True, exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.set_default_timeout(SOON)
            page.set_default_navigation_timeout(patience * 1000)
            expect.set_options(timeout=patience * 1000)
            yield cls(page, address, pictures, patience)
            browser.close()

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}/{path}")

    def rest(self) -> None:
        """Leave the UI: drawing a run as it goes on takes a core, which the run needs."""
        self.page.goto("about:blank")

    def see(self, text: str) -> None:
        """Wait until a text is on the page."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("tab", name=name).click(timeout=self.patience * 1000)

    def picture(self, name: str) -> None:
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def quick_run(self, deployment: str) -> str:
        """Click Quick run, and Run in the form that it shows filled in; return the id of the flow run."""

        def reach() -> Locator:
            self.go(f"deployments/deployment/{deployment}")
            self.page.get_by_role("button", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Quick run").click()
            form = self.page.get_by_role("dialog", name="Run Deployment")
            return form.get_by_role("button", name="Run", exact=True)

        return str(self._send(reach, "**/create_flow_run").json()["id"])

    def custom_run(self, deployment: str, values: dict[str, str]) -> str:
        """Fill in the form of a run, by its labels, and submit it; return the id of the flow run."""

        def reach() -> Locator:
            self.go(f"deployments/deployment/{deployment}/run")
            for label, value in values.items():
                name = re.compile(rf"^{re.escape(label)}( \(Optional\))?$", re.IGNORECASE)
                field = self.page.get_by_role("textbox", name=name).or_(self.page.get_by_role("spinbutton", name=name))
                field.fill(value)
                expect(field).to_have_value(value, timeout=SOON)
            return self.page.get_by_role("button", name="Submit")

        return str(self._send(reach, "**/create_flow_run").json()["id"])

    def cancel(self, run: str) -> None:
        """Cancel a flow run by its menu."""

        def reach() -> Locator:
            self.go(f"runs/flow-run/{run}")
            self.page.get_by_role("main").get_by_role("button", name="Open menu").click()
            self.page.get_by_role("menuitem", name="Cancel").click()
            return self.page.get_by_role("button", name="Cancel Flow Run")

        self._send(reach, "**/set_state")

    def add_cron(self, deployment: str, cron: str) -> None:
        """Add a schedule whose runs have the deployment's own parameters."""
        form = self.page.get_by_role("dialog", name="Add Schedule")

        def reach() -> Locator:
            self.go(f"deployments/deployment/{deployment}")
            self.page.get_by_role("button", name="Schedule", exact=True).click()
            form.get_by_role("tab", name="Cron").click()
            form.get_by_role("textbox", name="Value").fill(cron)
            form.get_by_role("button", name="Open menu").first.click()
            self.page.get_by_role("menuitem", name="Omit value").click()
            return form.get_by_role("button", name="Save")

        self._send(reach, "**/schedules")
        expect(form).to_be_hidden()

    def remove_schedule(self, deployment: str, described: str) -> None:
        """Remove the schedule of a deployment that the UI describes so, for example as "Every minute"."""

        def reach() -> Locator:
            self.go(f"deployments/deployment/{deployment}")
            switch = self.page.get_by_role("switch", name=f"toggle {described}")
            switch.locator("xpath=following::button[1]").click()  # its menu, whose name is that of all menus
            self.page.get_by_role("menuitem", name="Delete").click()
            return self.page.get_by_role("button", name="Delete")

        self._send(reach, "**/schedules/**")

    def _send(self, reach: Callable[[], Locator], request: str) -> Response:
        """Go to a button and click it; return the answer to the request that the click sends.

        From the start again if something on the way is lost: the UI draws itself anew as data comes, and with that a
        menu or a form may close. Also if the server is busy.
        """
        retrying = Retrying(
            retry=retry_if_exception_type((TimeoutError, AssertionError))
            | retry_if_result(lambda answer: answer.status == BUSY),
            stop=stop_after_delay(self.patience),
            reraise=True,
        )
        answer: Response = retrying(self._click, reach, request)
        assert answer.ok, answer.text()
        return answer

    def _click(self, reach: Callable[[], Locator], request: str) -> Response:
        button = reach()
        with self.page.expect_response(request, timeout=self.patience * 1000) as sent:
            button.click()
        return sent.value
