"""Data before it is trained on: conversion, split, teacher pool, export, and the check of what is there."""
