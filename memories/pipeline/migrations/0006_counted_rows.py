"""Rows say whether they stand in the totals of the counters; what is there already is counted by the next passes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0005_budgets")]

    operations = [
        migrations.RenameModel(old_name="ErasedFigures", new_name="FigureTotal"),
        migrations.AddField(
            model_name="postprocessingrun",
            name="counted",
            field=models.BooleanField(default=False, db_default=False, editable=False),
        ),
        migrations.AddField(
            model_name="vendorcall",
            name="counted",
            field=models.BooleanField(default=False, db_default=False, editable=False),
        ),
        migrations.AddIndex(
            model_name="postprocessingrun",
            index=models.Index(fields=["id"], name="run_not_counted", condition=models.Q(("counted", False))),
        ),
        migrations.AddIndex(
            model_name="postprocessingrun",
            index=models.Index(fields=["id"], name="run_dead_letters", condition=models.Q(("dead_letter", True))),
        ),
        migrations.AddIndex(
            model_name="vendorcall",
            index=models.Index(fields=["id"], name="call_not_counted", condition=models.Q(("counted", False))),
        ),
    ]
