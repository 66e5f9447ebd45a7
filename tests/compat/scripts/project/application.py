"""This file is what the dispatcher calls; it lies beside it, as in a customer's folder."""


def start(req):
    """Show what came in, as text."""
    form = {key: req.form.getvalue(key) for key in sorted(req.form)}
    return f"<p>{req.path[0]}|{req.path[1]}|{req.params}|{form}"
