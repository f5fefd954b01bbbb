"""The report of ``clipbench doctor`` as text."""

from clipbench.doctor.checkup import Checkup
from clipbench.doctor.findings import Finding
from clipbench.report.doctor import doctor_text


def test_lines_wrap_under_their_own_column_and_say_what_to_do_next():
    long = Finding("machine", "load", "warning", "word " * 30, "stop the others")
    report = Checkup("s", (Finding("software", "Python", "ok", "3.12"), long), ())
    text = doctor_text(report, 60)
    lines = text.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= 60
    column = next(line for line in lines if "load" in line).index("word")
    assert lines[-3] == " " * column + "next: stop the others"
    assert lines[-1] == "ready: 1 warning (exit code 0)"


def test_what_mends_several_things_is_said_once():
    same = [Finding("data", "missing", "failure", what, "get the data") for what in ("one", "two")]
    report = Checkup("s", (*same, Finding("data", "weights", "failure", "three", "get the weights")), ())
    text = doctor_text(report, 80)
    assert text.count("next: get the data") == 1
    assert text.index("two") < text.index("get the data") < text.index("three") < text.index("get the weights")


def test_the_verdict_counts():
    def verdict(*levels):
        report = Checkup("s", tuple(Finding("data", "x", level, "y") for level in levels), ())
        return report.exit_code, doctor_text(report, 80).splitlines()[-1]

    assert verdict("ok", "note") == (0, "ready (exit code 0)")
    assert verdict("failure", "warning", "failure") == (5, "not ready: 2 failures and 1 warning (exit code 5)")
