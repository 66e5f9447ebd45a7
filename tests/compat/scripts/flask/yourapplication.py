"""This file is a small Flask application."""

from flask import Flask, request, url_for

app = Flask(__name__)


@app.route("/")
def index():
    return f"index, and a greeting at {url_for('greet', name='Ada')}\n"


@app.route("/hello/<name>", methods=["GET", "POST"])
def greet(name):
    return f"Hello, {name} and {request.form.get('friend', 'nobody else')}!\n"
