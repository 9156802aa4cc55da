"""Figures of calls by month, which begin with the calls that are counted from now on; and an index by which the age of
the oldest run that has not ended is one look, however many there are."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0008_names_that_say_what_they_are")]

    operations = [
        migrations.CreateModel(
            name="MonthlyCallFigures",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField()),
                ("vendor", models.CharField(max_length=64)),
                ("operation", models.CharField(max_length=32)),
                ("outcome", models.CharField(max_length=24)),
                ("calls", models.PositiveBigIntegerField(default=0)),
                ("duplicates", models.PositiveBigIntegerField(default=0)),
                ("audio_seconds", models.FloatField(default=0.0)),
                ("cost", models.FloatField(default=0.0)),
            ],
            options={
                "ordering": ["month", "vendor", "operation", "outcome"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["month", "vendor", "operation", "outcome"], name="monthly_figures_once"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="postprocessingrun",
            index=models.Index(
                fields=["state", "created_at"], name="run_open_age", condition=models.Q(("counted", False))
            ),
        ),
    ]
