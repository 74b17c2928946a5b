"""What the tests in Python count: every check, and those that failed."""

FAULTS = []
N_CHECKS = 0


def check(condition, what):
    global N_CHECKS
    N_CHECKS += 1
    if not condition:
        FAULTS.append(what)
        print("FAILED:", what)
