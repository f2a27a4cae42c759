"""The command ``argus``: one thin file for each verb."""
