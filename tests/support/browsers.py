"""Where a browser is that tests can drive, if there is one."""

import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = "no chromium with its chromedriver is installed (Debian: apt-get install chromium chromium-driver)"


def browser_paths():
    """The browser and its driver, or None."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None
