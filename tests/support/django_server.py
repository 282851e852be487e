"""A business system: Django's own administration site, with its login, its sessions and its CSRF tokens.

Run by the system's Python, which has Debian's Django: `django_server.py FOLDER PORT USER PASSWORD`.
"""

import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application

folder, port, user, password = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
APPS = ["admin", "auth", "contenttypes", "sessions", "messages"]

settings.configure(
    SECRET_KEY="only-of-this-run",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    LANGUAGE_CODE="zh-hans",
    # Behind a proxy that speaks TLS forgery is checked more strictly: Origin and Referer must be the site's own.
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    INSTALLED_APPS=[f"django.contrib.{app}" for app in APPS],
    MIGRATION_MODULES=dict.fromkeys(APPS),  # tables as they are at last: a second instead of five
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "site.sqlite3")}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
django.setup()

from django.contrib import admin  # noqa: E402 - it wants the settings
from django.contrib.auth.models import User  # noqa: E402 - the same
from django.urls import path  # noqa: E402 - the same

urlpatterns = [path("admin/", admin.site.urls)]
call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_superuser(user, "", password)
run("127.0.0.1", port, get_wsgi_application(), threading=True)
